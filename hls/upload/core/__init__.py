"""The pure parts: where things go, what is listed, how pieces become one."""
