"""Results of a study: trials as rows, the best configuration, the verdict, figures, HTML.

`export` turns records into rows and files, `verdict` compares the best configuration with the
default, `html_report` writes the page and `figures` draws. All of it reads records and the study's
definition, and changes nothing in the store.
"""
