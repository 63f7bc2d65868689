// Stands in for @vscode/native-watchdog, which needs a compiler: the tests end every process.

exports.start = () => undefined;
exports.exit = (code) => process.exit(code);
