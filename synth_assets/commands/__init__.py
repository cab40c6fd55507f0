"""One module a command: `options` adds its options to a parser, `command` does its work and may return an
exit code, and the first line of the module is what `synth --help` says of it."""
