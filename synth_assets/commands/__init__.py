"""One module a command of `synth`."""
