"""Table files: CSV, Parquet and ARFF, read with the types that are declared or in the file."""
