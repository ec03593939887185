"""Legacy estimators, demappers and decoders, and the receivers that join three blocks, with or without feedback."""
