"""What the best classifier could do: Bayes over templates of every class, with the signal-to-noise ratio known."""
