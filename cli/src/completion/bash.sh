# Completion of tokenweirctl for bash. The program itself knows how a word goes on.
_tokenweirctl() {
    local line=${COMP_LINE:0:COMP_POINT} words=() last cut candidate
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    last=${words[${#words[@]}-1]}
    # bash replaces only what stands behind the last of these.
    cut=${last%"${last##*[:=]}"}
    COMPREPLY=()
    compopt +o default 2>/dev/null
    while IFS=$'\t' read -r candidate _; do
        case $candidate in
            :0) compopt -o default 2>/dev/null ;;
            :4) ;;
            *) COMPREPLY+=("${candidate#"$cut"}") ;;
        esac
    done < <(tokenweirctl __complete "${words[@]:1}" 2>/dev/null)
}
complete -o default -F _tokenweirctl tokenweirctl
