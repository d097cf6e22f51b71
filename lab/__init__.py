"""What made the course's records, and its own networks and recipes. It imports `helpers`, never the other way.

networks, recipes, augmentation   of the course's own
tricks, muon                      what they change in the training loop, and in its steps
training                          `fit` for recipes with tricks
records, reproduction, trials     runs and what they measured, kept in data/
comparison, benchmark, plotting   published against measured, and how long things take
results_table                     the README's table
text_files                        written whole or not at all
commands                          `python -m lab`
"""
