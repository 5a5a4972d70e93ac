"""Recordings of rooms: their files, and what is written to them."""
