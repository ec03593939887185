"""From recorded samples to frames: file formats, synchronisation, phase tracking, header decoding."""
