"""From a table or a YAML file to a complete, checked declaration and its splits."""
