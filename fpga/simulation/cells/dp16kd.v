// Block RAM of the ECP5 as yosys wires it up (its share/lattice/brams_map_16kd.v): 16384 bits and 2048 parity bits,
// here 512 words of 36 bits. A port of 18, 9, 4, 2 or 1 bits takes a part of a word; the parity bit of a byte is out of
// reach of the last three. A port of 36 bits spreads over the data pins of both sides. The lowest address pins of a wide
// port select the bytes that it writes. The output registers, which yosys leaves out, are left out here too.
//
// What a port reads while the other one writes the same bits in the same clock is undefined in hardware. Here it is the
// complement of the old bits, so that a netlist which relies on such a read fails.

module DP16KD(
    input CLKA, CEA, OCEA, WEA, RSTA, CSA2, CSA1, CSA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2,
          DIA1, DIA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2,
           DOA1, DOA0,
    input CLKB, CEB, OCEB, WEB, RSTB, CSB2, CSB1, CSB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2,
          DIB1, DIB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2,
           DOB1, DOB0
);
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18;
    parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG";
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC";
    parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000";
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB";
    parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
    parameter GSR = "AUTO";
    parameter [319:0]
        INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0, INITVAL_04 = 0, INITVAL_05 = 0,
        INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0,
        INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0, INITVAL_10 = 0, INITVAL_11 = 0,
        INITVAL_12 = 0, INITVAL_13 = 0, INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0,
        INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0, INITVAL_1C = 0, INITVAL_1D = 0,
        INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0,
        INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0, INITVAL_28 = 0, INITVAL_29 = 0,
        INITVAL_2A = 0, INITVAL_2B = 0, INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0,
        INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0,
        INITVAL_36 = 0, INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0,
        INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;

    wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
    wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
    wire [17:0] dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
                       DIA3, DIA2, DIA1, DIA0};
    wire [17:0] dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
                       DIB3, DIB2, DIB1, DIB0};
    wire [35:0] doa, dob;
    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2,
            DOA1, DOA0}
        = DATA_WIDTH_B == 36 ? dob[17:0] : doa[17:0];
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2,
            DOB1, DOB0}
        = DATA_WIDTH_B == 36 ? dob[35:18] : dob[17:0];

    wire clka = CLKAMUX == "INV" ? ~CLKA : CLKA;
    wire clkb = CLKBMUX == "INV" ? ~CLKB : CLKB;
    // A synchronous reset of the output also keeps the port from writing.
    wire writea = CEA && WEA && !(RESETMODE == "SYNC" && RSTA);
    wire writeb = CEB && WEB && !(RESETMODE == "SYNC" && RSTB);

    wire [8:0] worda, wordb;
    wire [35:0] maska, maskb, dataa, datab, olda, oldb;
    DP16KD_PORT #(.WIDTH(DATA_WIDTH_A), .WRITEMODE(WRITEMODE_A), .RESETMODE(RESETMODE)) a(
        .clk(clka), .enable(CEA), .write(writea), .reset(RSTA), .address(ada), .in({dib, dia}), .out(doa),
        .word(worda), .mask(maska), .data(dataa), .old(olda ^ (writeb && worda == wordb ? maskb : 36'b0)));
    DP16KD_PORT #(.WIDTH(DATA_WIDTH_B), .WRITEMODE(WRITEMODE_B), .RESETMODE(RESETMODE)) b(
        .clk(clkb), .enable(CEB), .write(writeb), .reset(RSTB), .address(adb), .in({18'b0, dib}), .out(dob),
        .word(wordb), .mask(maskb), .data(datab), .old(oldb ^ (writea && worda == wordb ? maska : 36'b0)));

    // Each INITVAL has 16 half words, 20 bits apart.
    localparam [64*320-1:0] INIT = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38, INITVAL_37,
        INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E,
        INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25,
        INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C,
        INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13,
        INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A,
        INITVAL_09, INITVAL_08, INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00
    };
    reg [35:0] mem [0:511];
    integer i;
    initial
        for (i = 0; i < 512; i = i + 1)
            mem[i] = {INIT[40*i + 20 +: 18], INIT[40*i +: 18]};

    assign olda = mem[worda];
    assign oldb = mem[wordb];
    always @(posedge clka)
        if (writea)
            for (i = 0; i < 36; i = i + 1)
                if (maska[i]) mem[worda][i] <= dataa[i];
    always @(posedge clkb)
        if (writeb)
            for (i = 0; i < 36; i = i + 1)
                if (maskb[i]) mem[wordb][i] <= datab[i];
endmodule

// One port: which bits of which word it means, and its output latch.
module DP16KD_PORT(
    input clk, enable, write, reset,
    input [13:0] address,
    input [35:0] in, old,
    output reg [35:0] out,
    output [8:0] word,
    output [35:0] mask, data
);
    parameter WIDTH = 18;
    parameter WRITEMODE = "NORMAL", RESETMODE = "SYNC";

    assign word = address[13:5];
    wire [5:0] offset =
        WIDTH == 36 ? 0 :
        WIDTH == 18 ? 18 * address[4] :
        9 * address[4:3] + (
            WIDTH == 9 ? 0 : WIDTH == 4 ? 4 * address[2] : WIDTH == 2 ? 2 * address[2:1] : address[2:0]);
    wire [35:0] bytes =
        WIDTH == 36 ? {{9{address[3]}}, {9{address[2]}}, {9{address[1]}}, {9{address[0]}}} :
        WIDTH == 18 ? {{9{address[1]}}, {9{address[0]}}} : {36{1'b1}};
    wire [35:0] ones = {36{1'b1}} >> (36 - WIDTH);
    assign mask = (bytes & ones) << offset;
    assign data = (in & ones) << offset;
    wire [35:0] read = WRITEMODE == "WRITETHROUGH" && write ? (old & ~mask) | (data & mask) : old;

    initial out = 0;
    generate
        if (RESETMODE == "ASYNC") begin
            always @(posedge clk, posedge reset)
                if (reset) out <= 0;
                else if (enable && (WRITEMODE != "NORMAL" || !write)) out <= (read >> offset) & ones;
        end else begin
            always @(posedge clk)
                if (reset) out <= 0;
                else if (enable && (WRITEMODE != "NORMAL" || !write)) out <= (read >> offset) & ones;
        end
    endgenerate
endmodule
