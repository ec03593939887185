"""The receiver: estimators, demappers, decoders, and how they are joined."""
