# Completion of tokenweirctl for fish. The program itself knows how a word goes on.
function __tokenweirctl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (tokenweirctl __complete $words[2..-1] 2>/dev/null)
    if test "$lines[-1]" = :0
        __fish_complete_path (commandline -ct)
    else if test (count $lines) -gt 1
        printf '%s\n' $lines[1..-2]
    end
end
complete -c tokenweirctl -e
complete -c tokenweirctl -f -a '(__tokenweirctl_complete)'
