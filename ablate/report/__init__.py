"""From records to tables, figures and a page; imports no torch.

records   one row for each run
aggregate one row for each cell: its seeds together, compared with a baseline (comparison, stats, published)
tables    the main table as text, and its notes; papers: beside the published tables; pivot: by two keys
figures   drawings of cells and of learning curves (curves)
page      all of it as one HTML file; formats: a table as Markdown, CSV and LaTeX; files: writes them
"""
