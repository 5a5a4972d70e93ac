"""What draft-pantos-hls-rfc8216bis asks of playlists, decided and cited by its sections."""
