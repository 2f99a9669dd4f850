"""Study files: YAML or JSON to a checked `StudyDefinition`.

`study_file.read_study` and `study_file.define` accept the program's own form, the HPO service's
`search_space` and em-hpo-scripts' one, and reject all faults together with a `StudyError`.
`stop_rules` holds when a study ends early.
"""
