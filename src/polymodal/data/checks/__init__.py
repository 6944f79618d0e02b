"""The check before the first step: what a fit would trip over, each with its fix."""
