"""Runs side by side on the same test rows: from their folders to a leaderboard and a page."""
