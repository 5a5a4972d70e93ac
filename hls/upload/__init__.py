"""Broadcasts and recordings to a bucket: the spool, what is sent, and what is remembered of it."""
