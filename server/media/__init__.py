"""Media planes and the processes they run in."""
