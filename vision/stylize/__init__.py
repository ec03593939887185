"""Stylization: pictures in a style that a net has learned from pairs, and the small net that is searched for it."""
