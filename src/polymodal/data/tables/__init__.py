"""Tables in and out: CSV, JSON, Parquet, Excel, DataFrames, datasets and lists of dicts."""
