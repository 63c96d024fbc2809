"""From records to tables, figures and a page; imports no torch.

records   one row for each run
aggregate one row for each cell: its seeds together (predictions, stats), compared with a baseline (comparison)
tables    the main table as text, and its notes; papers: the published tables; pivot: by two keys; summary: in words
figures   drawings of cells and of learning curves (curves)
page      all of it as one HTML file; formats: a table as Markdown, CSV and LaTeX; files: writes them
"""
