"""An integer program as hardware: windows over frames, taps, and one engine per layer."""
