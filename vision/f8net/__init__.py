"""The experiment `f8net`: the accuracy of a classifier with 8-bit multiplications against its float net."""
