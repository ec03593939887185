"""What a multiply-accumulate costs on this machine."""
