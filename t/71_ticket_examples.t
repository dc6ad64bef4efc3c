# What docs/auth.md shows is true: its back ends' lines in each language that this machine has make tickets that open
# connections, and its commands do what it says.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Client;
use Weft::Test;

my $t       = Weft::Test->new;
my $prefix  = $t->prefix;
my $weftctl = "$Weft::Test::BUILD/weftctl";
my $page    = slurp("$FindBin::Bin/../docs/auth.md");
ok(length $page, 'docs/auth.md is there') or BAIL_OUT('no docs/auth.md');

# The blocks of a language below a heading, to the next one; indented ones are shifted left.
sub blocks {
    my ($heading, $language) = @_;
    my ($text) = $page =~ /^(#+ \Q$heading\E\n.*?)(?=^#|\z)/ms or die "no heading \"$heading\"\n";
    my @blocks;
    while ($text =~ /^( *)```$language\n(.*?)^\1```$/gms) {
        my ($indent, $code) = ($1, $2);
        push @blocks, $code =~ s/^$indent//gmr;
    }
    return @blocks;
}

# A program in PATH, or nothing.
sub program {
    my ($name) = @_;
    my ($found) = grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH}), '/usr/local/go/bin', '/usr/lib/go/bin';
    return $found;
}

# Runs a shell's line; what it printed. Dies with that when it fails.
sub run {
    my ($folder, $line) = @_;
    spew("$folder/run.sh", "set -eu\nPATH='$Weft::Test::BUILD':\$PATH\ncd '$folder'\n$line\n");
    my $output = qx{bash '$folder/run.sh' 2>&1};
    die "$line\nended with status $?:\n$output" if $?;
    return $output;
}

my %file;
for ([ ES256 => 'ES256' ], [ EdDSA => 'EdDSA' ], [ RS256 => 'RS256' ]) {
    my ($name, $algorithm) = @$_;
    $file{$name} = "$prefix/$name.pem";
    run($prefix, "weftctl keygen --alg $algorithm --public '$prefix/$name.pub' > '$file{$name}'");
}
$file{HS256} = $t->key_file;
my $node = $t->node('a', server => join '', map {
    my $key = $_ eq 'HS256' ? $file{HS256} : "$prefix/$_.pub";
    "        location = /$_ { weft_websocket; weft_ticket key=$key max_age=5m once; }\n";
} sort keys %file);

my %language = (
    PHP    => { block => 'php',    file => 'mint.php', program => 'php',     run => sub { "'$_[0]' mint.php" } },
    Python => { block => 'python', file => 'mint.py',  program => 'python3', run => sub { "'$_[0]' mint.py" } },
    Node   => { block => 'js',     file => 'mint.cjs', program => 'node',    run => sub { "'$_[0]' mint.cjs" } },
    Go     => { block => 'go',     file => 'mint.go',  program => 'go',
        run => sub { "GOCACHE='$prefix/go-cache' GOFLAGS=-p=1 GO111MODULE=off GOTOOLCHAIN=local '$_[0]' run mint.go" } },
);
my @examples = $page =~ /^### (\w+, \w+)$/gm;
cmp_ok(scalar @examples, '>=', 7, scalar(@examples) . ' examples');
for my $example (@examples) {
    my ($name, $algorithm) = split /, /, $example;
    check "the example for $example makes a ticket that opens a connection, once" => sub {
        my $language = $language{$name} or die "no language is named $name\n";
        my $program  = program($language->{program}) or plan skip_all => "$language->{program} is not installed";
        my @code     = blocks($example, $language->{block});
        is(scalar @code, 1, 'there is one');
        my $folder = "$prefix/$name-$algorithm";
        mkdir $folder or die "$folder: $!\n";
        spew("$folder/$language->{file}", $code[0]);
        my $ticket = run($folder, "export WEFT_KEY='$file{$algorithm}'\n" . $language->{run}->($program));
        like($ticket, qr/\A[\w-]+\.[\w-]+\.[\w-]+\n\z/, 'it prints a ticket and nothing else') or die "no ticket\n";
        chomp $ticket;
        my $client = Weft::Client->join(port => $node->port, path => "/$algorithm", ticket => $ticket);
        is($client->greeting->{user}, 'ada', 'which opens a connection');
        $client->subscribe('chat:lobby') if $code[0] =~ /chat:/;
        my $again = Weft::Client->open(port => $node->port, path => "/$algorithm", ticket => $ticket);
        is($again->read_close->{code}, 4002, 'its jti is good for one use');
    };
}

check 'changing keys goes as the page says' => sub {
    my @steps = blocks('Changing keys', 'sh');
    is(scalar @steps, 4, 'four steps');
    my $folder = "$prefix/rotation";
    mkdir $folder or die "$folder: $!\n";
    run($folder, $steps[0]);
    my $nginx = $t->nginx('rotating', sidecar => $node->weftd->worker_address,
        location => "weft_ticket jwks=$folder/jwks.json;");
    my $code = sub {
        my ($name) = @_;
        my $client = Weft::Client->open(port => $nginx->port, ticket => slurp("$folder/$name.ticket") =~ s/\n//r);
        my $first  = $client->next_message;
        my $result = $first->{type} eq 'error' ? $client->read_close->{code} : $first->{payload}{user};
        $client->hang_up;
        return $result;
    };
    is($code->('ada'), 'ada', 'the first key holds');
    run($folder, $steps[1]);
    my $told = run($folder, $steps[2]);
    my @valid = $told =~ /^valid: until/gm;
    is(scalar @valid, 2, 'weftctl takes tickets of both keys');
    ok(wait_for { $code->('bob') eq 'bob' }, 'the second key holds');
    is($code->('ada'), 'ada', 'and the first');
    run($folder, $steps[3]);
    ok(wait_for { $code->('ada') eq 4002 }, 'the first holds no longer');
    is($code->('bob'), 'bob', 'the second does');
};

check 'making tickets by hand goes as the page says' => sub {
    my ($lines) = blocks('Making tickets by hand', 'sh');
    my $folder = "$prefix/by-hand";
    mkdir $folder or die "$folder: $!\n";
    my $output = run($folder, $lines);
    my @valid  = $output =~ /^valid: until/gm;
    is(scalar @valid, 2, 'both tickets that it looks at are valid');
    like($output, qr/"jti":"7f3a","iss":"me","aud":"chat","plan":"free"/, 'with the claims that were asked for');
    like($output, qr/^header: \{"alg":"EdDSA","typ":"JWT","kid":"ed-1"\}$/m, 'and the name of the key');
};

check 'weftctl ends with what scripts can tell' => sub {
    my $folder = "$prefix/by-hand";
    my $try = sub { my $output = qx{cd '$folder' && '$weftctl' $_[0] 2>&1}; return ($? >> 8, $output) };
    for (
        [ "ticket --key secret.key --user a --alg RS256",          2, qr/--alg RS256: the key is one for HS256/ ],
        [ "ticket --key secret.key --user a --alg none",           2, qr/--alg none: expected HS256, / ],
        [ "ticket --key secret.key --user a --claims '[]'",        2, qr/--claims: expected a JSON object/ ],
        [ "ticket --key secret.key --user a --claims '{\"sub\":\"b\"}'", 2, qr/a claim is given twice/ ],
        [ "ticket --key secret.key --user a --jwks x",             2, qr/excludes|--jwks/ ],
        [ "ticket --key ed.pub --user a",                          1, qr/not a private key in PEM/ ],
        [ "ticket --key missing --user a",                         1, qr/can't open missing: No such file/ ],
        [ "ticket --user a",                                       2, qr/--key is missing/ ],
        [ "ticket --key secret.key",                               2, qr/--user is missing/ ],
        [ "ticket --inspect --key ed.pub < a.ticket",              1, qr/the ticket is refused: alg is not one that is expected: EdDSA/ ],
        [ "ticket --inspect --jwks ed.pub < a.ticket",             1, qr/ed\.pub: it is not a JSON object/ ],
        [ "keygen --alg RS512",                                    2, qr/--alg RS512: expected/ ],
        [ "keygen --public x",                                     2, qr/--public: HS256 has no public key/ ],
        [ "jwks",                                                  2, qr/keys is required/ ],
        [ "jwks =ed.pem",                                          2, qr/expected KID=FILE or FILE/ ],
        [ "jwks a=ed.pem a=secret.key",                            1, qr/key 2 has the kid of another/ ],
        [ "jwks a=ed.pub",                                         0, qr/"kid":"a"/ ],
        [ "ticket --sub a --key secret.key --nonsense",            2, qr/nonsense/ ],
    ) {
        my ($line, $wanted, $says) = @$_;
        my ($status, $output) = $try->($line);
        is($status, $wanted, "weftctl $line: $wanted");
        like($output, $says, 'and says why');
    }
};

$t->finish;
done_testing;
