// A design as CXXRTL wrote it, behind the names that driver.cc uses.

#include "design.cc"

#include <cstdint>

class Design {
  public:
    Design() { step(false); }

    void settle(bool in_valid, std::uint8_t in_byte, bool out_ready) {
        top_.p_in__valid.set(in_valid);
        top_.p_in__byte.set(in_byte);
        top_.p_out__ready.set(out_ready);
        step(false);
    }
    void clock() { step(true); }
    bool in_ready() const { return bool(top_.p_in__ready); }
    bool out_valid() const { return bool(top_.p_out__valid); }
    std::uint8_t out_byte() const { return top_.p_out__byte.get<std::uint8_t>(); }

  private:
    void step(bool clock) {
        top_.p_clk.set(clock);
        top_.step();
    }

    cxxrtl_design::p_top top_;
};
