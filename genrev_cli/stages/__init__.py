"""One function per subcommand: files in, files out, a `Result` back; nothing printed."""
