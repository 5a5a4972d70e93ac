"""A client of a Roomtone server: REST, signalling, a voice, a listener."""
