"""The outside world, brought onto one codebook."""
