"""Fine-tuning from another run: loaded weights and inherited settings."""
