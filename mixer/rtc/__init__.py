"""The only door to aiortc, aioice and pylibsrtp: one UDP port of WebRTC peers."""
