"""What draft-pantos-hls-rfc8216bis asks of playlists, decided: is this one right, and why not?"""
