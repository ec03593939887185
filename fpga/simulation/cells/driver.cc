// Stands around a design between two byte streams: offers it every byte of a file, takes what it emits, and writes
// down when. `design.h` is the design: words.h around what CXXRTL wrote, or what fpga/gates.py wrote. Called and read
// by fpga/simulate.py.

#include "design.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

namespace {

using Clock = std::int64_t;

// Pauses of the source and of the sink. Their odds change every 64 clocks: there are stretches without any, in which a
// buffer runs full or empty, and stretches in which hardly a byte moves.
class Stalls {
  public:
    Stalls(bool wanted, std::uint64_t seed) : wanted_(wanted), random_(seed) {}

    void next(Clock clock) {
        if (!wanted_) return;
        drawn_ = random_();
        if (clock % 64 == 0) {
            source_odds_ = kOdds[drawn_ >> 60 & 3];
            sink_odds_ = kOdds[drawn_ >> 62];
        }
    }
    bool source() const { return wanted_ && (drawn_ & 7) < source_odds_; }
    bool sink() const { return wanted_ && (drawn_ >> 8 & 7) < sink_odds_; }
    // What lies on the input while it is not valid.
    std::uint8_t noise() const { return drawn_ >> 16 & 255; }

  private:
    static constexpr unsigned kOdds[4] = {0, 2, 5, 7};  // in eighths
    bool wanted_;
    std::mt19937_64 random_;
    std::uint64_t drawn_ = 0x5a0000;
    unsigned source_odds_ = 0, sink_odds_ = 0;
};
constexpr unsigned Stalls::kOdds[4];

[[noreturn]] void fail(const char *what) {
    std::perror(what);
    std::exit(1);
}

std::vector<std::uint8_t> read_all(const char *path) {
    std::vector<std::uint8_t> data;
    std::FILE *file = std::fopen(path, "rb");
    if (!file) fail(path);
    std::fseek(file, 0, SEEK_END);
    data.resize(std::ftell(file));
    std::rewind(file);
    if (std::fread(data.data(), 1, data.size(), file) != data.size()) fail(path);
    std::fclose(file);
    return data;
}

template <class Item>
void write_all(std::FILE *file, const std::vector<Item> &items) {
    if (std::fwrite(items.data(), sizeof(Item), items.size(), file) != items.size()) fail("results");
}

}  // namespace

// Arguments: file of input bytes, file to write, input bytes and output bytes of one sample, clocks without a moved
// byte that count as a hang, whether to stall, seed.
int main(int, char **words) {
    const std::vector<std::uint8_t> input = read_all(words[1]);
    const Clock per_input = std::atoll(words[3]), per_output = std::atoll(words[4]), limit = std::atoll(words[5]);
    Stalls stalls(std::atoi(words[6]) != 0, std::strtoull(words[7], nullptr, 10));

    const Clock samples = input.size() / per_input, offered = input.size(), expected = samples * per_output;
    std::vector<std::uint8_t> output(expected);
    std::vector<Clock> first(samples), last(samples);
    Clock accepted = 0, emitted = 0, moved = 0, clock = 0, end = -1;
    bool offering = false;

    Design design;
    for (; clock - moved <= limit && clock != end; clock++) {
        stalls.next(clock);
        // A byte once offered stays until it is taken: the sender's half of the protocol.
        offering = accepted < offered && (offering || !stalls.source());
        const bool ready = !stalls.sink();
        design.settle(offering, offering ? input[accepted] : stalls.noise(), ready);
        if (offering && design.in_ready()) {
            if (accepted % per_input == 0) first[accepted / per_input] = clock;
            accepted++;
            moved = clock;
            offering = false;
        }
        if (ready && design.out_valid()) {
            if (emitted < expected) {
                output[emitted] = design.out_byte();
                last[emitted / per_output] = clock;
            }
            emitted++;
            moved = clock;
            // All is there: wait as long as the first sample took, lest another byte comes.
            if (emitted == expected) end = clock + 64 + std::min(limit, last[0] - first[0]);
        }
        design.clock();
    }

    std::FILE *file = std::fopen(words[2], "wb");
    if (!file) fail(words[2]);
    write_all(file, std::vector<Clock>{accepted, emitted, moved + 1, clock});
    write_all(file, first);
    write_all(file, last);
    write_all(file, output);
    if (std::fclose(file) != 0) fail(words[2]);
    return 0;
}
