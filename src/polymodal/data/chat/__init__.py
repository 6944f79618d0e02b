"""From table rows to encoded conversations: texts, items for encoders, and tokens with loss."""
