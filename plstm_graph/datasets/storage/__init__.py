"""Files, from anywhere to anywhere: downloads, archives, checksums, caches; read without trust, written whole."""
