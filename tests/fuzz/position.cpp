// Positions come back from clients. What parses must be what text() wrote; and a line of text may be cut in two, to
// compare two positions with each other.
#include "weft/position.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

using weft::Position;

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

bool covers_plainly(const Position& mine, const Position& theirs) {
    for (const auto& entry : mine.entries()) {
        if (theirs.find(entry.stream) == nullptr) return false;
    }
    for (const auto& entry : theirs.entries()) {
        const auto* const number = mine.find(entry.stream);
        if (number == nullptr || *number < entry.number) return false;
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto cut = bytes.find('\n');
    const auto text = bytes.substr(0, cut);
    const auto position = Position::parse(text);
    if (!position) {
        require(!position.error().empty(), "an error that says nothing");
        return 0;
    }
    require(position->text() == text, "a text that text() doesn't write");
    require(position->entries().size() <= Position::kMaxStreams, "more streams than the bound");

    Position copy;
    for (const auto& [stream, number] : position->entries()) {
        require(stream != 0 && *position->find(stream) == number, "an entry that isn't found");
        require(copy.set(stream, number), "an entry that can't be set");
    }
    require(copy == *position && copy.covers(*position), "a copy that differs");
    for (const auto& [stream, number] : position->entries()) copy.erase(stream);
    require(copy.empty(), "an entry that can't be erased");

    if (cut == bytes.npos) return 0;
    if (const auto other = Position::parse(bytes.substr(cut + 1))) {
        require(position->covers(*other) == covers_plainly(*position, *other), "covers() errs");
        require(other->covers(*position) == covers_plainly(*other, *position), "covers() errs");
    }
    return 0;
}
