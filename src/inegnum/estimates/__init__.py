"""What is published: aggregated, benchmarked, graded."""
