"""Samples of radios as files store them: raw, WAV, SigMF; checked before anything is computed from them."""
