"""Users' own data sets: how they are declared, downloaded, and read into the cache."""
