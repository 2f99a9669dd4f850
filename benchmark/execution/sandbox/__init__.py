"""The sandbox: runs a task under limits that bind its whole process tree.

`sandbox.Sandbox` chooses the best means of this machine; `zygotes` are warm interpreters,
`scratch` and `shared` the folders of tasks, `variables` the environment that a task gets.
"""
