"""The verbs of the `roomtone` command beside `serve`."""
