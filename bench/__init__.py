"""Measurements: what Roomtone costs beside the obvious alternative, in one run."""
