"""The pure part of recordings: no clock, file or thread."""
