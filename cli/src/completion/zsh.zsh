#compdef tokenweirctl
# Completion of tokenweirctl for zsh. The program itself knows how a word goes on.
_tokenweirctl() {
    local -a lines values
    local line value
    lines=("${(@f)$(tokenweirctl __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ ${lines[-1]} == :0 ]]; then
        _files
        return
    fi
    lines[-1]=()
    for line in "${lines[@]}"; do
        # A colon parts a value from its meaning, where it is not part of the value.
        value=${${line%%$'\t'*}//:/\\:}
        [[ $line == *$'\t'* ]] && value+=":${line#*$'\t'}"
        values+=("$value")
    done
    _describe -t values value values
}
if [[ ${funcstack[1]} == _tokenweirctl ]]; then
    _tokenweirctl "$@"
else
    compdef _tokenweirctl tokenweirctl
fi
