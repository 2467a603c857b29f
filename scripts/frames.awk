# The stack frames of functions, from objdump's listing of an object for x86-64: prints the largest frame, and those larger than
# `most` bytes, except that of the function `except`, which may have `most_except`. It ends with 1 if there are any.

function number(hex,    value, place) {
    value = 0
    for (place = 1; place <= length(hex); place++)
        value = value * 16 + index("0123456789abcdef", substr(hex, place, 1)) - 1
    return value
}

function immediate(text) {
    sub(/^.*\$0x/, "", text)
    sub(/,.*$/, "", text)
    # Frames that are made by adding a negative number are small.
    return length(text) > 8 ? 0 : number(text)
}

function conclude() {
    if (name == "")
        return
    functions++
    if (except != "" && index(name, except)) {
        excepted = bytes > excepted ? bytes : excepted
        limit = most_except
    } else {
        limit = most
        if (bytes > largest) {
            largest = bytes
            largest_name = name
        }
    }
    if (bytes > limit) {
        print "a frame of " bytes " bytes, more than " limit ": " name
        wrong = 1
    }
}

/^[0-9a-f]+ <.*>:$/ {
    conclude()
    name = $0
    sub(/^[^<]*</, "", name)
    sub(/>:$/, "", name)
    bytes = 0
}

# Large frames are touched page by page, in a loop up to %r11, which the listing shows once.
/sub +\$0x[0-9a-f]+,%rsp/ { bytes += immediate($0) }
/sub +\$0x[0-9a-f]+,%r11/ { bytes += immediate($0) - 4096 }

END {
    conclude()
    if (!functions) {
        print "nothing was found in the listing"
        exit 1
    }
    print "the largest frame of " functions " functions: " largest " bytes, " largest_name "; " except ": " excepted
    exit wrong
}
