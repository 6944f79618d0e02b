"""The modality of each column, the task of each target, and the declaration completed from the table."""
