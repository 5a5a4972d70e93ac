"""What stands in the way of a server on this machine, and how many people it carries."""
