"""The outside world again: folders, pages, charts."""
