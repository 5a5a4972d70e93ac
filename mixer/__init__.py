"""Media plane: terminates WebRTC, mixes rooms and encodes each distinct mix once."""
